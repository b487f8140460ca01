"""How every picture and page looks."""
