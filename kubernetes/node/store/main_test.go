package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	bolt "go.etcd.io/bbolt"
)

func sample() description {
	digest := func(digit byte) string { return "sha256:" + string(bytes.Repeat([]byte{digit}, 64)) }
	content := description{
		Namespace: "k8s.io",
		Created:   1_700_000_000,
		Blobs: []blob{
			{digest('a'), 100, map[string]string{"containerd.io/gc.ref.content.config": digest('b')}},
			{digest('b'), 200, map[string]string{"containerd.io/gc.ref.snapshot.overlayfs": digest('2')}},
		},
		Snapshots: []snapshot{{1, digest('1'), "", 10, 2}, {2, digest('2'), digest('1'), 20, 3}},
	}
	for _, name := range []string{"one", "two", "three", "four", "five", "six", "seven", "eight"} {
		content.Images = append(content.Images, image{
			Names:  []string{"example.org/" + name + ":1", digest('b') + name},
			Digest: digest('a'), MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 100,
			Labels: map[string]string{"io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"},
		})
	}
	return content
}

func written(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	input, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	if err := run(bytes.NewReader(input), folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheSameDescriptionGivesTheSameBytes(t *testing.T) {
	read := func(folder, name string) []byte {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	first := written(t)
	for range 5 {
		again := written(t)
		for _, name := range []string{"meta.db", "metadata.db"} {
			if !bytes.Equal(read(first, name), read(again, name)) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

func TestContainerdReadsTheMetadata(t *testing.T) {
	database, err := bolt.Open(filepath.Join(written(t), "meta.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	store := metadata.NewDB(database, nil, nil)
	if err := store.Init(ctx); err != nil {
		t.Fatal(err)
	}
	list, err := metadata.NewImageStore(store).List(ctx)
	if err != nil || len(list) != 16 {
		t.Fatalf("%d images, %v", len(list), err)
	}
	want := sample().Images[0]
	image, err := metadata.NewImageStore(store).Get(ctx, want.Names[0])
	if err != nil {
		t.Fatal(err)
	}
	if image.Target.Digest.String() != want.Digest || image.Target.Size != want.Size ||
		image.Labels["io.cri-containerd.pinned"] != "pinned" || image.CreatedAt.Unix() != 1_700_000_000 {
		t.Errorf("%+v", image)
	}
	if err := metadata.NewImageStore(store).Delete(ctx, want.Names[0], images.SynchronousDelete()); err != nil {
		t.Error(err)
	}
}

func TestContainerdReadsTheSnapshots(t *testing.T) {
	store, err := storage.NewMetaStore(filepath.Join(written(t), "metadata.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	upper := sample().Snapshots[1]
	content := sample()
	err = store.WithTransaction(context.Background(), true, func(ctx context.Context) error {
		id, info, usage, err := storage.GetInfo(ctx, content.backendName(&upper))
		if err != nil {
			return err
		}
		if id != "2" || info.Kind != snapshots.KindCommitted || usage.Size != 20 || usage.Inodes != 3 {
			t.Errorf("%s %+v %+v", id, info, usage)
		}
		active, err := storage.CreateSnapshot(ctx, snapshots.KindActive, "new", content.backendName(&upper))
		if err != nil {
			return err
		}
		if active.ID != "3" || len(active.ParentIDs) != 2 || active.ParentIDs[0] != "2" {
			t.Errorf("%+v", active)
		}
		_, _, err = storage.Remove(ctx, content.backendName(&content.Snapshots[0]))
		if err == nil {
			t.Error("a snapshot with a child was removed")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
