"""`watchkeeper tune`: many trainings, judged on normal data alone, and the one to take. Needs the extra `tune`."""
