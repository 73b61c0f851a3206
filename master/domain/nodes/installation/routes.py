"""/install-command"""

from litestar import get

from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.api.requests.reading import ApiRequest
from master.distribution.downloads.app import HOW_TO, Downloads
from master.distribution.install_script import NoScript, install_line, origin_of
from master.domain.nodes.installation.schemas import InstallCommand, InstallCommandQuery
from master.errors import BadRequest


@get(
    "/install-command",
    summary="Show the line that installs a node",
    opt=documented(answers={200: "The line."}, problems=(BadRequest,)),
)
async def show_install_command(
    request: ApiRequest, parameters: Injected[InstallCommandQuery], downloads: Injected[Downloads]
) -> InstallCommand:
    """Show the line to paste into a shell on a host, which installs a node of the newest version that this master has.

    The node then waits for its enrolment by `POST /nodes`.
    """
    origin = origin_of(request.scope)
    release = (await downloads.folder.contents()).newest
    try:
        url = downloads.script.base_url(origin)
        if release is None:
            return InstallCommand(command=None, sha256=None, version=None, url=url, advice=HOW_TO.strip())
        line = install_line(url, downloads.script.text(release, origin), is_user=parameters.user)
    except NoScript as error:
        raise BadRequest(str(error)) from error
    return InstallCommand(command=line.text, sha256=line.sha256, version=release.version, url=url, advice=None)
