package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// reserve keeps room on the disk for the first size bytes of a file.
func reserve(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}
