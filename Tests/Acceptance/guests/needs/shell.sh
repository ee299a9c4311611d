#!/bin/bash
# What shells and coreutils ask of the kernel, for test_needs.py: run under strace, outside any cell.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

echo hello | tr "[:lower:]" "[:upper:]" > one
cp -a one two && cp -p one three && mv three four && mkdir -p d/e && cp -r d f && rm -r f
ln -s one symbolic && ln one hard && readlink symbolic && realpath symbolic
mkfifo fifo && mknod other p && touch -d yesterday one && touch -h symbolic
chmod 600 one && chown "$(id -u)" one && chgrp -h "$(id -g)" symbolic
ls -la . && stat one && stat -f . && df . && du -s . && find . -newer one -type f -exec true {} +
seq 1000 | sort -r | uniq | tail -3 && seq 100 > n && sort -n n -o n && wc n && sha256sum n && tac n | head -1
dd if=n of=m bs=9 count=3 conv=fsync && truncate -s 9 m && fallocate -l 9 long && split -l 10 n part- && sync m
tar cf archive.tar n m && tar xf archive.tar && gzip -k n && gunzip -c n.gz | cmp - n && sed -i s/1/2/ n
nice -n 5 true && timeout 1 true && nohup true && setsid true && env -i true && nproc && uname -a && id
setarch "$(uname -m)" true && renice -n 6 $$ && taskset -p $$ && stdbuf -o0 true
timeout -s KILL 0.1 sleep 9 || true
trap 'true' USR1 && kill -USR1 $$
ulimit -n 100 && umask 022 && times
(sleep 0.01 & wait)
set -m && sleep 0.01 &
wait
dash -c 'ls | cat; sleep 0.01 & wait; read -r x < n; kill -0 $$; test -r n'
