def present(config, found): return None
