"""What is true of workflows and their executions. Pure: time and ids come in with the commands."""
