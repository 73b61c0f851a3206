"""What an operator works with, one package for each noun: locations, nodes, proxies, stacks and so on."""
