"""A person who uses the keyboard alone."""

from playwright.async_api import Locator, Page, expect

MOST_STEPS = 150
SOON_MS = 15_000
HAS_FOCUS = "(found) => found.includes(document.activeElement)"


class Keyboard:
    """Every act is a key. An element that Tab does not reach fails the test, as does one that is not there."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def keys(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def write(self, text: str) -> None:
        await self.page.keyboard.type(text)

    async def reach(self, wanted: Locator) -> None:
        """Press Tab until the element has the focus. Raises AssertionError."""
        await expect(wanted.first).to_be_enabled(timeout=SOON_MS)
        for _ in range(MOST_STEPS):
            if await wanted.evaluate_all(HAS_FOCUS):
                return
            await self.keys("Tab")
        raise AssertionError(f"{wanted} cannot be reached by {MOST_STEPS} times Tab")

    async def press(self, name: str, *, inside: Locator | None = None) -> None:
        """Reach a button by its name and press it."""
        await self.reach((inside or self.page).get_by_role("button", name=name, exact=True))
        await self.keys("Enter")

    async def fill(self, member: str, text: str) -> None:
        """Fill in the field of this member of the request body."""
        await self.reach(self.page.locator(f"[data-field={member}] :is(input, select, textarea)"))
        await self.write(text)

    async def find(self, words: str) -> None:
        """Go to a screen by the palette."""
        await self.keys("Control+k")
        palette = self.page.get_by_role("dialog")
        await expect(palette.get_by_role("combobox")).to_be_focused()
        await self.write(words)
        await expect(palette.get_by_role("option", selected=True)).to_contain_text(words)
        await self.keys("Enter")

    async def go(self, key: str, title: str) -> None:
        """Go to a screen by its key, and wait for it."""
        await self.keys("g", key)
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(title, timeout=SOON_MS)

    async def filter(self, words: str) -> None:
        """Add words to the filter of the list, and leave the filter bar."""
        bar = self.page.get_by_role("combobox", name="Filter", exact=True)
        await expect(bar).to_be_visible(timeout=SOON_MS)
        await self.keys("/")
        await expect(bar).to_be_focused()
        await self.write(words)
        await self.keys("Enter", "Escape")
