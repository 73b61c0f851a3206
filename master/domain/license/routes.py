"""/license"""

from collections.abc import Callable

from litestar import get, put
from litestar.params import JSONBody

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.db.database import Database
from master.domain.license import service
from master.domain.license.schemas import License, NewLicense, UnusableKey


@get("/license", summary="Show the licence", opt=documented(answers={200: "The licence, or that there is none."}))
async def show_license(
    database: Injected[Database], license_problem: Injected[Callable[[], UnusableKey | None]]
) -> License:
    """Show the licence that counts, its limits, and how much of them is used. The key itself is not shown."""
    async with database.session() as session:
        return await service.show(session, license_problem())


@put(
    "/license",
    summary="Install a licence key",
    opt=documented(answers={200: "The licence that counts now: the one that was issued last."}),
)
async def install_license(
    data: JSONBody[NewLicense],
    database: Injected[Database],
    license_problem: Injected[Callable[[], UnusableKey | None]],
) -> License:
    """Install a licence key. All masters take it at once, without a restart; it is verified without any network.

    Of several keys the one that was issued last counts, so an older key changes nothing.
    """
    async with database.transaction() as session:
        await service.install(session, data.key, "api")
        return await service.show(session, license_problem())


handlers = (show_license, install_license)
