//go:build !unix

package lockfile

import (
	"fmt"
	"os"
)

// Take holds a file for this process alone. Where there is no flock it is one
// that can be deleted only when nobody has it open.
func Take(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("lock %s: %w: %w", path, ErrTaken, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
