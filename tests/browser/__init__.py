"""A real browser for tests and screenshots: Chromium, driven by Playwright, and all that its pages say and ask for."""
