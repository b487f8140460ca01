"""What is written for people and programs from the contracts: pages of the reference and the AsyncAPI document."""
