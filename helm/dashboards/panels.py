"""How all panels look, so that a dashboard is a list of titles, units and queries."""

from dataclasses import dataclass

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24  # of a dashboard, in Grafana's columns
TAGS = ["trainyard"]


@dataclass(frozen=True)
class Query:
    """An expression, and how its series are called."""

    expression: str
    legend: str = "__auto"


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """An empty dashboard over the last hour that lets people choose the Prometheus."""
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(TAGS)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )


def choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """A variable whose values are what `query` finds."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def lines(title: str, unit: str, *queries: Query, description: str = "", stacked: bool = False) -> timeseries.Panel:
    """Values over time, a third of the width."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    panel = panel.height(8).span(WIDTH // 3).line_width(1).fill_opacity(30 if stacked else 5)
    panel = panel.legend(legend.show_legend(True)).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return panel.targets([_target(query, index).range() for index, query in enumerate(queries)])


def number(title: str, unit: str, *queries: Query, description: str = "", names: bool = False) -> stat.Panel:
    """The latest value, a sixth of the width; with `names` the series' name instead."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE).unit(unit)
    panel = panel.height(4).span(WIDTH // 6).graph_mode(BigValueGraphMode.NONE)
    panel = panel.text_mode(BigValueTextMode.NAME if names else BigValueTextMode.AUTO)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.targets([_target(query, index).instant() for index, query in enumerate(queries)])


def bars(title: str, unit: str, query: Query, description: str = "") -> bargauge.Panel:
    """One bar from 0 to 1 for each series, half the width."""
    panel = bargauge.Panel().title(title).description(description).datasource(SOURCE).unit(unit).min(0).max(1)
    panel = panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.BASIC)
    return panel.height(8).span(WIDTH // 2).targets([_target(query).instant()])


def rows(title: str, query: Query, description: str = "") -> table.Panel:
    """The labels of each series, half the width."""
    panel = table.Panel().title(title).description(description).datasource(SOURCE).height(8).span(WIDTH // 2)
    return panel.targets([_target(query).instant().format(PromQueryFormat.TABLE)])


def _target(query: Query, index: int = 0) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id("ABCDEF"[index]).datasource(SOURCE)
    return target.expr(query.expression).legend_format(query.legend)
