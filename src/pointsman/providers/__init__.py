"""How a family of providers is reached: URL, authentication, habits."""
