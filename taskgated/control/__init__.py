"""The control socket: Varlink, so that ``varlinkctl`` and any other Varlink client can speak to the gate."""
