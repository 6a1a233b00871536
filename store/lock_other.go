//go:build !unix

package store

import (
	"fmt"
	"os"
)

// lockFile keeps a second process out where there is no flock: the file can
// be deleted only when nobody has it open.
func lockFile(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("another process has %s; end it, or give this one a store of its own: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
