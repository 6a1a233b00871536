//go:build !race

// A reader bounds the memory of its process, and the race detector needs more.

package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The test binary is the reader of documents too: it bounds its own memory, not
// that of the tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "read-document" {
		main()
	}
	os.Exit(m.Run())
}

// The reader's program tells what is wrong with a file in one line and leaves
// with 1.
func TestADocumentIsReadFromTheStandardInput(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "read-document", "xls")
	var errs strings.Builder
	cmd.Stderr = &errs
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(errs.String(), "empty") {
		t.Errorf("got %v, %q", err, errs.String())
	}
}
