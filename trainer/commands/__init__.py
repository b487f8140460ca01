"""The trainer's commands, one file each; each an entry point of `watchkeeper.commands`."""
