package knowledge

import "golang.org/x/sys/unix"

// limitMemory bounds what this process may write to.
func limitMemory(bytes uint64) error {
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: bytes, Max: bytes})
}
