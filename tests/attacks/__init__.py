"""The corpus of attacks: what must not open the gate, in process and on sockets."""
