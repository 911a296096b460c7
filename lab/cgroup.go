package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupControllers are the hierarchies of cgroup v1 that the kubelet and runc use.
var cgroupControllers = []string{"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}

// cgroup is the cgroup under which a node's kubelet makes those of its Pods. Without one of its own, two kubelets on one
// machine would take each other's Pods for leftovers. It follows from the folder, so that `down` finds it.
func (f clusterFolder) cgroup() string {
	return fmt.Sprintf("hansa-lab-%.8x", sha256.Sum256([]byte(f.path())))
}

// makeCgroups makes the cgroup in all hierarchies, without what an earlier lab may have left in it.
func (f clusterFolder) makeCgroups() error {
	if err := f.removeCgroups(); err != nil {
		return err
	}
	for _, controller := range append(cgroupControllers, "systemd") {
		parent := filepath.Join(cgroupRoot, controller)
		if _, err := os.Stat(parent); controller == "systemd" && err != nil {
			continue // no controller, and not everywhere
		}
		if err := os.Mkdir(filepath.Join(parent, f.cgroup()), 0o755); err != nil {
			return err
		}
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // empty at first, and then nothing may run in it
		value, err := os.ReadFile(filepath.Join(cgroupRoot, "cpuset", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(cgroupRoot, "cpuset", f.cgroup(), file), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeCgroups removes the cgroup with all below it. Its processes have ended or are about to.
func (f clusterFolder) removeCgroups() error {
	tops, err := filepath.Glob(filepath.Join(cgroupRoot, "*", f.cgroup()))
	if err != nil {
		return err
	}
	for _, top := range tops {
		deadline := time.Now().Add(10 * time.Second)
		for {
			err := removeCgroup(top)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove cgroup %s: %w", top, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// removeCgroup removes folders from the inside out; the files in them go by themselves.
func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = os.Remove(dirs[i])
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// checkCgroups says why the kubelet could not work with this machine's cgroups.
func checkCgroups() error {
	var missing []string
	for _, controller := range cgroupControllers {
		if _, err := os.Stat(filepath.Join(cgroupRoot, controller, "cgroup.procs")); err != nil {
			missing = append(missing, controller)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("they need cgroup v1, with a hierarchy for each controller in %s; missing: %s", cgroupRoot, strings.Join(missing, ", "))
	}
	trial := filepath.Join(cgroupRoot, "pids", fmt.Sprintf("hansa-lab-trial-%d", os.Getpid()))
	if err := os.Mkdir(trial, 0o755); err != nil {
		return fmt.Errorf("no cgroup can be made: %w", err)
	}
	return os.Remove(trial)
}
