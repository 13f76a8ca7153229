"""The fingerprints of what the server serves, read from its files; nothing is made or served."""

from pathlib import Path
from typing import Final

from runwatch_server.certificates import is_root
from runwatch_shared.errors import SettingsError
from runwatch_shared.settings import ServerSettings
from runwatch_shared.tls import fingerprint

BEGIN: Final = "-----BEGIN CERTIFICATE-----"


def served_fingerprints(settings: ServerSettings) -> list[tuple[str, str, Path]]:
    """Kind (`ca`, then `cert`), `SHA256:AB:CD:…` and file. No `ca` where the file does not end
    with a root: consoles can remember the certificate alone then.

    Raises:
        SettingsError: TLS is off, or there is no certificate yet.
    """
    if not settings.tls:
        raise SettingsError("tls is off: there is no certificate")
    own = not settings.tls_cert
    path = Path(settings.data_dir) / "tls" / "cert.pem" if own else Path(settings.tls_cert)
    try:
        chain = [BEGIN + part for part in path.read_text(encoding="ascii").split(BEGIN)[1:]]
        found = [("cert", f"SHA256:{fingerprint(pem)}", path) for pem in chain[:1]]
        if len(chain) > 1 and is_root(chain[-1]):
            place = path.with_name("ca.pem") if own else path
            found.insert(0, ("ca", f"SHA256:{fingerprint(chain[-1])}", place))
    except FileNotFoundError as error:
        raise SettingsError(f"there is no {path}; start the server once") from error
    except (ValueError, OSError) as error:
        raise SettingsError(f"{path} cannot be used: {error}") from error
    if not found:
        raise SettingsError(f"{path} holds no certificate")
    return found
