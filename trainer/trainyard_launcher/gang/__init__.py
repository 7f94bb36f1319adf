"""The gang: how the launchers of a job's nodes agree on who trains together, and start and stop together.

Node 0 answers the others on the rendezvous port; each asks it several times a second. So node 0 knows who is there,
and every node knows which attempt is to run. Torchrun is started anew for every attempt, with ranks by the nodes'
numbers and a store of its own in node 0's agent: nothing of an earlier attempt can be mistaken for this one's.
"""
