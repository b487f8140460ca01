"""The trainer's commands, one file each; trainer.cli registers them with the detector's entry point."""
