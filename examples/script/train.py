"""A small character-level transformer that learns to write like Isaac Newton: DDP, checkpoints, resumption."""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from trainyard_trainer import current_job

CONTEXT = 64
text = (Path(__file__).parent / "text.txt").read_text()
letters = sorted(set(text))
codes = torch.tensor([letters.index(letter) for letter in text])


class Writer(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.letter = nn.Embedding(len(letters), width)
        self.place = nn.Parameter(torch.zeros(CONTEXT, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(width, len(letters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool, device=x.device).triu(1)  # no peeking ahead
        return self.out(self.layers(self.letter(x) + self.place, mask=seen, is_causal=True))


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--batch", type=int, default=32)
args = parser.parse_args()
job = current_job()
job.init_process_group()
torch.manual_seed(0)
network = Writer().to(job.device)
model = DistributedDataParallel(network) if job.world > 1 else network
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
checkpoints = job.checkpointer({"model": model, "optimizer": optimizer})
for step in range(checkpoints.load() + 1, args.steps + 1):
    draw = torch.Generator().manual_seed(step)  # the batch depends on the step alone, so a resumed run sees the same
    starts = torch.randint(len(codes) - CONTEXT, (args.batch,), generator=draw)[job.rank :: job.world]
    windows = torch.stack([codes[start : start + CONTEXT + 1] for start in starts]).to(job.device)
    loss = F.cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    checkpoints.step(step, samples=args.batch)
    job.log(step, steps=args.steps, loss=loss.item())
if job.rank == 0:
    written = torch.zeros(CONTEXT, dtype=torch.long, device=job.device)
    for _ in range(200):
        chances = network(written[-CONTEXT:][None])[0, -1].softmax(0)
        written = torch.cat([written, torch.multinomial(chances, 1)])
    print("".join(letters[code] for code in written[CONTEXT:].tolist()))
    print("model:", job.export(network, torch.zeros(2, CONTEXT, dtype=torch.long, device=job.device)))
