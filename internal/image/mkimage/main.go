// Command mkimage packs static binaries into a container image that needs no registry:
//
//	go run ./internal/image/mkimage -name example.com/hansa:dev -o hansa.tar -entrypoint /hansa bin/hansa=/hansa
package main

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/hansa-io/hansa/internal/image"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mkimage:", err)
		os.Exit(1)
	}
}

func run() error {
	var i image.Image
	flag.StringVar(&i.Name, "name", "", "name of the image, with a tag")
	flag.StringVar(&i.Architecture, "arch", runtime.GOARCH, "architecture of the binaries")
	entrypoint := flag.String("entrypoint", "", "what a container runs by default")
	out := flag.String("o", "", "where to write the tar")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: mkimage -name NAME:TAG -o TAR [-arch GOARCH] [-entrypoint PATH] FILE=PATH...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *out == "" || flag.NArg() == 0 {
		flag.Usage()
		return fmt.Errorf("-o and at least one file are needed")
	}
	if *entrypoint != "" {
		i.Entrypoint = []string{*entrypoint}
	}
	for _, arg := range flag.Args() {
		f, err := read(arg)
		if err != nil {
			return err
		}
		i.Files = append(i.Files, f)
	}
	w, err := os.Create(*out)
	if err != nil {
		return err
	}
	if err := image.Write(w, i); err != nil {
		_ = w.Close()
		return err
	}
	return w.Close()
}

// read reads one FILE=PATH. A binary that needs a dynamic linker is refused: the image has none.
func read(arg string) (image.File, error) {
	source, path, ok := strings.Cut(arg, "=")
	if !ok {
		return image.File{}, fmt.Errorf("%q is not FILE=PATH", arg)
	}
	info, err := os.Stat(source)
	if err != nil {
		return image.File{}, err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return image.File{}, err
	}
	f := image.File{Path: path, Data: data, Mode: 0o644}
	if info.Mode()&0o111 != 0 {
		f.Mode = 0o755
		err = static(source)
	}
	return f, err
}

func static(binary string) error {
	e, err := elf.Open(binary)
	if err != nil {
		return fmt.Errorf("%s is not a Linux binary: %w", binary, err)
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}
