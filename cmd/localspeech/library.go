package main

import (
	"fmt"

	"github.com/ebitengine/purego"

	"github.com/patchcord/patchcord/internal/localspeech"
)

// library is an opened shared object and the package that installs it.
type library struct {
	name, pkg string
	handle    uintptr
}

// open loads a shared object by its soname, on the loader's own path.
func open(name, pkg string) (library, error) {
	h, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return library{}, missing(pkg, err)
	}
	return library{name: name, pkg: pkg, handle: h}, nil
}

func missing(pkg string, err error) error {
	return &localspeech.Error{Text: fmt.Sprintf("%v: install it with: apt-get install %s", err, pkg)}
}

// bind sets each function pointer to the symbol of its name.
func (l library) bind(functions map[string]any) error {
	for name, fn := range functions {
		sym, err := purego.Dlsym(l.handle, name)
		if err != nil {
			return missing(l.pkg, fmt.Errorf("%s has no %s: another version is needed: %w", l.name, name, err))
		}
		purego.RegisterFunc(fn, sym)
	}
	return nil
}
