"""Serve a vendor by itself: ``approve``, ``deny`` or the code to give, a line each on its input."""

import sys
from pathlib import Path

from tests.vendor.programs import put_programs
from tests.vendor.vendor import Vendor


def main() -> None:
    folder = Path(sys.argv[1])
    programs = put_programs(folder)
    with Vendor(folder) as vendor:
        sys.stdout.write(f"VENDOR_URL={vendor.url}\nPATH={programs}\nCODE={vendor.code}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            match line.strip():
                case "approve":
                    vendor.approve()
                case "deny":
                    vendor.deny()
                case code:
                    vendor.code = code


if __name__ == "__main__":
    main()
