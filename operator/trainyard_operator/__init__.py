"""The operator: it makes pods of TrainingJobs, replaces what is lost, and says in the status what goes on."""
