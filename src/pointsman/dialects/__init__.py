"""What clients and providers speak, a file each."""
