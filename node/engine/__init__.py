"""The engines that run proxies, behind one interface."""
