"""One virtual machine with emulated SR-IOV network cards."""
