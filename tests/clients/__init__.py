"""Every kind of client: who makes an order, and what each gets."""
