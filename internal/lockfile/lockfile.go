// Package lockfile keeps a second process away from files that only one may
// have.
package lockfile

import "errors"

// ErrTaken is the fault of a lock that another process has.
var ErrTaken = errors.New("another process has it")
