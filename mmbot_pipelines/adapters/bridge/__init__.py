"""The bridge on its chains: the registry on L1, and a folder for each origin of orders."""
