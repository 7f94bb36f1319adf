"""Kubeflow's PyTorchJob and TrainJob as TrainingJobs."""
