# What stands in a cell's root besides /function, granted files and what is made for every cell: /proc, /dev, /etc/passwd, group,
# hosts, nsswitch.conf, localtime, timezone and mtab, /tmp. All of it read-only, nosuid, nodev.
#
#   view NAME            the entries below are its
#   mirror PATH          as on the host: the same link where it is a link, else a bind; nothing where it is missing
#   bind PATH            bound; nothing where it is missing
#   need PATH            bound; the launch fails where it is missing

# Data that programs look for wherever they run. It is in a cell before its version is known, so that it costs no start.
view every
bind /usr/share/zoneinfo  # time zones
bind /etc/ssl/certs/ca-certificates.crt  # authorities' certificates

# A static ELF: itself.
view static

# A dynamic ELF: its loader and the host's libraries.
view dynamic
mirror /lib              # /lib/x86_64-linux-gnu, where the loader looks
mirror /lib64            # the loader's own name stands there: /lib64/ld-linux-x86-64.so.2
need /usr/lib            # the libraries themselves
bind /usr/lib64          # where a merged /usr keeps /lib64
bind /etc/ld.so.cache    # the loader's index

# A script: its interpreter, and the commands that it calls.
view script
mirror /lib              # as above
mirror /lib64            # as above
mirror /bin              # #!/bin/sh
need /usr/lib            # libraries, and the modules of perl and python
bind /usr/lib64          # as above
need /usr/bin            # the commands
bind /etc/ld.so.cache    # as above
bind /etc/alternatives   # awk, for one, is a link to there

# A Python handler: the interpreter and its library, no other command.
view python
mirror /lib              # as above
mirror /lib64            # as above
need /usr/bin/python3    # the interpreter
need /usr/lib            # libraries and Python's own
bind /usr/lib64          # as above
bind /etc/ld.so.cache    # as above

# What a container of this distribution shows: all that packages have put into /usr, and what of /etc is theirs rather than
# the host's. Nothing of its users, keys, services, addresses or names: passwd, hosts, machine-id, ssh, ssl/private, cron, …
view system
mirror /bin              # links into /usr on a merged system
mirror /sbin             # as above
mirror /lib              # as above
mirror /lib32            # as above
mirror /lib64            # as above
mirror /libx32           # as above
need /usr                # programs, libraries, modules, zone files, fonts
bind /etc/ld.so.cache    # the loader's index
bind /etc/alternatives   # awk, java, … are links to there
bind /etc/ssl/certs      # certificates of authorities; the keys are in ssl/private
bind /etc/ssl/openssl.cnf  # OpenSSL's defaults
bind /etc/java-11-openjdk  # the JVM does not start without its configuration
bind /etc/java-17-openjdk  # as above
bind /etc/java-21-openjdk  # as above
bind /etc/java-25-openjdk  # as above
bind /etc/php            # which modules are loaded
bind /etc/perl           # Perl's part of @INC
bind /etc/python3        # Debian's own settings of python
bind /etc/python3.11     # sitecustomize
bind /etc/python3.13     # as above
bind /etc/fonts          # fontconfig
bind /etc/ImageMagick-6  # policies and delegates
bind /etc/ImageMagick-7  # as above
bind /etc/ghostscript    # gs
bind /etc/magic          # file(1)
bind /etc/magic.mime     # as above
bind /etc/mime.types     # mimetypes
bind /etc/services       # getservbyname(3)
bind /etc/protocols      # getprotobyname(3)
bind /etc/rpc            # getrpcbyname(3)
bind /etc/gai.conf       # getaddrinfo(3)
bind /etc/host.conf      # the same
bind /etc/terminfo       # terminals
bind /etc/inputrc        # readline
bind /etc/locale.alias   # setlocale(3)
bind /etc/debian_version # which distribution this is
bind /etc/lsb-release    # as above
mirror /etc/os-release   # as above
