"""``org.varlink.service``, the interface that every Varlink service has (https://varlink.org/Service): its
declaration, and the names of those of its errors that both ends of the control socket know."""

from __future__ import annotations

SERVICE = "org.varlink.service"

INVALID_PARAMETER = "InvalidParameter"
"""The error of a parameter that the method does not have, or that is not of its type."""
PERMISSION_DENIED = "PermissionDenied"
"""The error of a caller that may not do this."""

DESCRIPTION = f"""\
interface {SERVICE}

method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)
method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error {INVALID_PARAMETER} (parameter: string)
error {PERMISSION_DENIED} ()
error ExpectedMore ()
"""
