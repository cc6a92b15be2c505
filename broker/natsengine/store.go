package natsengine

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// storeFile is what the engine itself has in a store's directory, beside what is the server's.
const storeFile = "fanfare.json"

// store is the directory of a log, and what is known of its last life.
type store struct {
	dir  string
	lock *os.File
	// record is that of this life, once it has begun, and before that of the last.
	record storeRecord
	begun  bool
	// torn tells that the machine stopped while the last life wrote, or after it without having all on its
	// disk: messages that were answered may be lost.
	torn bool
}

// storeRecord is what is remembered from one life to the next.
type storeRecord struct {
	// Secret signs what this engine writes into its log.
	Secret string `json:"secret"`
	// Boot is which start of the machine it was.
	Boot string `json:"boot"`
	// Safe tells that all that was answered is on the disk.
	Safe bool `json:"safe"`
}

// openStore takes a directory for this process, and makes it if it is not there.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("it cannot be made: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, "fanfare.lock"))
	if err != nil {
		return nil, fmt.Errorf("it cannot be had for this process alone: %w", err)
	}
	s := &store{dir: dir, lock: lock}
	text, err := os.ReadFile(filepath.Join(dir, storeFile)) //nolint:gosec // the configuration names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.record.Secret = rand.Text()
	case err != nil:
		return nil, errors.Join(err, lock.Close())
	default:
		if err := json.Unmarshal(text, &s.record); err != nil || s.record.Secret == "" {
			return nil, errors.Join(fmt.Errorf("%s is broken: it may be removed, names of publishers are lost then", filepath.Join(dir, storeFile)), lock.Close())
		}
		s.torn = !s.record.Safe && (s.record.Boot == "" || s.record.Boot != bootID())
	}
	return s, nil
}

// begin says that from now on messages are answered, which are on the disk at once, or some time later.
func (s *store) begin(sync bool) error {
	s.begun = true
	s.record.Boot, s.record.Safe = bootID(), sync
	return s.write()
}

// close gives the directory back. If all has gone well, everything is on the disk before that.
func (s *store) close(safe bool) (err error) {
	if safe && s.begun {
		if err = syncAll(s.dir); err == nil {
			s.record.Safe = true
			err = s.write()
		}
	}
	return errors.Join(err, s.lock.Close())
}

// write replaces the record on the disk, as a whole.
func (s *store) write() error {
	text, err := json.Marshal(s.record) //nolint:gosec // it is to keep the secret
	if err != nil {
		return err
	}
	name := filepath.Join(s.dir, storeFile)
	file, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the configuration names it
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name+".new"))
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncFile(s.dir)
}

// syncAll has all files below a directory on the disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFile(path)
	})
}

func syncFile(path string) error {
	file, err := os.Open(path) //nolint:gosec // below the store
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
