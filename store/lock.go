package store

import (
	"errors"
	"fmt"
	"os"

	"github.com/patchcord/patchcord/internal/lockfile"
)

// lockFile holds a file for this process alone; the lock ends with it.
func lockFile(path string) (*os.File, error) {
	f, err := lockfile.Take(path)
	if errors.Is(err, lockfile.ErrTaken) {
		err = fmt.Errorf("%w; end it, or give this one a store of its own", err)
	}
	return f, err
}
