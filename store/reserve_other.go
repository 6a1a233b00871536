//go:build !linux

package store

import (
	"errors"
	"os"
)

// reserve keeps no room where no call of the system does.
func reserve(*os.File, int64) error { return errors.ErrUnsupported }
