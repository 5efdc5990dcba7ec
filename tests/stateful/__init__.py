"""The whole shop as a machine: whatever readers, wallets, merchant and backend do, in any order, promise P1 holds."""
