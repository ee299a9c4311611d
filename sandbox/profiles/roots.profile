# What stands in a cell's root besides /function, /dev and granted files. All of it read-only, nosuid, nodev.
#
#   view NAME            the entries below are its
#   mirror PATH          as on the host: the same link where it is a link, else a bind; nothing where it is missing
#   bind PATH            bound; nothing where it is missing
#   need PATH            bound; the launch fails where it is missing

# A static ELF: nothing but itself.
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
