"""Where records come from and messages go: one package or file a transport, behind one interface."""
