"""The host's addresses and routes, as the kernel reports them."""
