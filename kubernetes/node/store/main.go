// Command store writes the two databases of a containerd data folder in which images are
// unpacked already: the metadata store and that of the overlayfs snapshotter. It runs on the
// machine that builds a payload, needs no privileges and mounts nothing.
//
// It reads a description as JSON from its standard input and writes meta.db and metadata.db
// into the folder that its argument names. The same description gives the same bytes: times and
// ids come from it. containerd's own code cannot be asked to do this, as it takes both from the
// clock and from what it mounts; the schema is the one that its core/metadata/buckets.go and
// core/snapshots/storage/bolt.go describe, and a test opens the result with that code.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/metadata/boltutil"
	"github.com/containerd/containerd/v2/core/snapshots"
	bolt "go.etcd.io/bbolt"
)

const (
	snapshotter = "overlayfs"
	// The version of the metadata store's schema, metadata.dbVersion.
	metadataVersion = 4
)

// description is what the databases are to say.
type description struct {
	Namespace string     `json:"namespace"`
	Created   int64      `json:"created"` // seconds since 1970, the time of every record
	Images    []image    `json:"images"`
	Blobs     []blob     `json:"blobs"`
	Snapshots []snapshot `json:"snapshots"` // parents before children
}

// image is a manifest under its names.
type image struct {
	Names     []string          `json:"names"`
	Digest    string            `json:"digest"`
	MediaType string            `json:"media_type"`
	Size      int64             `json:"size"`
	Labels    map[string]string `json:"labels"`
}

// blob is a piece of content that is there.
type blob struct {
	Digest string            `json:"digest"`
	Size   int64             `json:"size"`
	Labels map[string]string `json:"labels"`
}

// snapshot is an unpacked layer over its parent.
type snapshot struct {
	ID      uint64 `json:"id"` // names the folder
	ChainID string `json:"chain_id"`
	Parent  string `json:"parent"`
	Size    int64  `json:"size"`
	Inodes  int64  `json:"inodes"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: store FOLDER <DESCRIPTION")
		os.Exit(2)
	}
	if err := run(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "store: %v\n", err)
		os.Exit(1)
	}
}

func run(input io.Reader, folder string) error {
	var content description
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		return fmt.Errorf("cannot read the description: %w", err)
	}
	if err := write(filepath.Join(folder, "meta.db"), content.metadata()); err != nil {
		return err
	}
	return write(filepath.Join(folder, "metadata.db"), content.snapshotter())
}

// record is one bucket to be made: its place and what fills it.
type record struct {
	path []string
	fill func(*bolt.Bucket) error
}

// write makes a database. Each record has a transaction of its own: bolt writes the buckets
// that a transaction touched in the random order of a Go map, and here that is one path.
func write(path string, records []record) error {
	database, err := bolt.Open(path, 0o644, &bolt.Options{NoSync: true, PageSize: 4096})
	if err != nil {
		return err
	}
	for _, record := range records {
		err := database.Update(func(tx *bolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte(record.path[0]))
			for _, name := range record.path[1:] {
				if err != nil {
					break
				}
				bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
			}
			if err != nil {
				return err
			}
			return record.fill(bucket)
		})
		if err != nil {
			_ = database.Close()
			return fmt.Errorf("%s: %v: %w", path, record.path, err)
		}
	}
	if err := database.Sync(); err != nil {
		_ = database.Close()
		return err
	}
	return database.Close()
}

// fields fills a bucket with keys and values, in order.
func fields(pairs ...[]byte) func(*bolt.Bucket) error {
	return func(bucket *bolt.Bucket) error {
		for pair := range slices.Chunk(pairs, 2) {
			if err := bucket.Put(pair[0], pair[1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// with adds the times and labels that most records have.
func (d *description) with(labels map[string]string, fill func(*bolt.Bucket) error) func(*bolt.Bucket) error {
	created := time.Unix(d.Created, 0).UTC()
	return func(bucket *bolt.Bucket) error {
		if err := fill(bucket); err != nil {
			return err
		}
		if err := boltutil.WriteTimestamps(bucket, created, created); err != nil {
			return err
		}
		return boltutil.WriteLabels(bucket, labels)
	}
}

// key is a name of a field.
func key(name string) []byte { return []byte(name) }

// varint encodes numbers as both databases do.
func varint(value int64) []byte { return binary.AppendVarint(nil, value) }

// metadata is the content of meta.db.
func (d *description) metadata() []record {
	const schema = "v1"
	records := []record{
		{[]string{schema}, fields(key("version"), varint(metadataVersion))},
		{[]string{schema, d.Namespace, "labels"}, fields()},
	}
	for _, blob := range d.Blobs {
		records = append(records, record{
			[]string{schema, d.Namespace, "content", "blob", blob.Digest},
			d.with(blob.Labels, fields(key("size"), varint(blob.Size))),
		})
	}
	for _, image := range d.Images {
		for _, name := range image.Names {
			path := []string{schema, d.Namespace, "images", name}
			records = append(records,
				record{path, d.with(image.Labels, fields())},
				record{slices.Concat(path, []string{"target"}), fields(
					key("digest"), key(image.Digest),
					key("mediatype"), key(image.MediaType),
					key("size"), varint(image.Size),
				)})
		}
	}
	place := []string{schema, d.Namespace, "snapshots", snapshotter}
	for _, snapshot := range d.Snapshots {
		values := [][]byte{key("name"), key(d.backendName(&snapshot))}
		if snapshot.Parent != "" {
			values = append(values, key("parent"), key(snapshot.Parent))
			records = append(records, record{
				slices.Concat(place, []string{snapshot.Parent, "children"}),
				fields(key(snapshot.ChainID), nil),
			})
		}
		records = append(records, record{
			slices.Concat(place, []string{snapshot.ChainID}),
			d.with(nil, fields(values...)),
		})
	}
	return append(records, record{place, d.sequence()})
}

// snapshotter is the content of metadata.db.
func (d *description) snapshotter() []record {
	const schema = "v1"
	records := []record{
		{[]string{schema, "snapshots"}, d.sequence()},
		{[]string{schema, "parents"}, fields()},
	}
	byChain := map[string]*snapshot{}
	for i := range d.Snapshots {
		snapshot := &d.Snapshots[i]
		byChain[snapshot.ChainID] = snapshot
		values := [][]byte{
			key("id"), binary.AppendUvarint(nil, snapshot.ID),
			key("kind"), {byte(snapshots.KindCommitted)},
			key("inodes"), varint(snapshot.Inodes),
			key("size"), varint(snapshot.Size),
		}
		if parent := byChain[snapshot.Parent]; parent != nil {
			values = append(values, key("parent"), key(d.backendName(parent)))
			records = append(records, record{
				[]string{schema, "parents"},
				fields(parentKey(parent.ID, snapshot.ID), key(d.backendName(snapshot))),
			})
		}
		records = append(records, record{
			[]string{schema, "snapshots", d.backendName(snapshot)},
			d.with(nil, fields(values...)),
		})
	}
	return records
}

// backendName is how the metadata store calls a snapshot towards the snapshotter.
func (d *description) backendName(snapshot *snapshot) string {
	return fmt.Sprintf("%s/%d/%s", d.Namespace, snapshot.ID, snapshot.ChainID)
}

// sequence makes the next id the one after all that are used.
func (d *description) sequence() func(*bolt.Bucket) error {
	var last uint64
	for _, snapshot := range d.Snapshots {
		last = max(last, snapshot.ID)
	}
	return func(bucket *bolt.Bucket) error { return bucket.SetSequence(last) }
}

// parentKey is storage.parentKey of containerd: parent, a zero byte, child.
func parentKey(parent, child uint64) []byte {
	return binary.AppendUvarint(append(binary.AppendUvarint(nil, parent), 0), child)
}
