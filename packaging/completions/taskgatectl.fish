# fish completion for taskgatectl(1)

# The command on the line, before the cursor; nothing if there is none yet.
function __fish_taskgatectl_command
    set -l words (commandline -opc)
    argparse -s h/help root= user json version -- $words[2..] 2>/dev/null
    and echo $argv[1]
end

function __fish_taskgatectl_using
    contains -- (__fish_taskgatectl_command)'' $argv
end

# Whether the command on the line has no argument yet.
function __fish_taskgatectl_first
    set -l words (commandline -opc)
    argparse -i root= attempt= before= patience= -- $words[2..] 2>/dev/null
    and test (count (string match -v -- '-*' $argv)) = 1
end

# What the gate says that the line means.
function __fish_taskgatectl_ask
    set -l words (string replace -r '^~/' ~/ -- (commandline -op))
    set -l gate $words[1]
    set -l question $argv # argparse leaves in argv what it does not know
    argparse -i root= user -- $words[2..] 2>/dev/null
    set -q _flag_root; and set -a gate --root $_flag_root[-1]
    set -q _flag_user; and set -a gate --user
    $gate $question 2>/dev/null </dev/null
end

# Ids of jobs, the newest first, at most 50: __fish_taskgatectl_jobs open|all
# The gate lists the oldest first. All of a long list would take too long: then those that are not over have to do.
function __fish_taskgatectl_jobs
    set -l lines
    test $argv[1] = all
    and set lines (__fish_taskgatectl_ask list --limit 5000)
    if test $argv[1] = open -o (count $lines) -gt 5000
        set lines (__fish_taskgatectl_ask list --state queued --state held --state running --limit 50)
    end
    # ID  QUEUE  STATE  ATTEMPT  EXIT  TOOK  SOURCE  NAME, with two blanks or more between.
    set lines $lines[-1..2]
    for line in $lines[1..50]
        string replace -r '^(\d+) +(\S+) +(\S+) .*  (\S.*)$' '$1\t$3, $2: $4' -- $line
    end
end

function __fish_taskgatectl_queues
    set -l found 0
    for line in (__fish_taskgatectl_ask status)
        set -l name (string split -f 1 ' ' -- $line)
        test $found = 1; and echo $name
        test "$name" = QUEUE; and set found 1
    end
end

# Without the --root= that stands before it.
function __fish_taskgatectl_directories
    __fish_complete_directories (commandline -ct | string replace -- --root= '')
end

complete -c taskgatectl -f
complete -c taskgatectl -s h -l help -d 'Show help and exit'
complete -c taskgatectl -l root -x -a '(__fish_taskgatectl_directories)' -d 'The gate below a directory'
complete -c taskgatectl -l user -d 'Your own gate, in your home directory'
complete -c taskgatectl -l json -d 'Print JSON, as the control socket has it'

set -l none '__fish_taskgatectl_using ""'
complete -c taskgatectl -n $none -l version -d 'Show the version and exit'
complete -c taskgatectl -n $none -a status -d 'What the gate does now'
complete -c taskgatectl -n $none -a list -d 'Jobs, oldest first'
complete -c taskgatectl -n $none -a show -d 'All about one job, and everything it waits for'
complete -c taskgatectl -n $none -a logs -d 'The output of a job'
complete -c taskgatectl -n $none -a wait -d 'Until jobs are over'
complete -c taskgatectl -n $none -a cancel -d 'End a job, or see to it that it never starts'
complete -c taskgatectl -n $none -a reload -d 'Put the configuration in force'
complete -c taskgatectl -n $none -a check -d 'What the daemon would say of files'

set -l list '__fish_taskgatectl_using list'
set -l states queued held running succeeded failed cancelled
complete -c taskgatectl -n $list -l state -x -a "$states" -d 'Only in this state'
complete -c taskgatectl -n $list -l queue -x -a '(__fish_taskgatectl_queues)' -d 'Only of this queue'
complete -c taskgatectl -n $list -l after -x -d 'Only with a higher id'
complete -c taskgatectl -n $list -l limit -x -d 'At most so many jobs'

complete -c taskgatectl -n '__fish_taskgatectl_using show' -l before -x -d 'Attempts before this one (default: the last)'

set -l logs '__fish_taskgatectl_using logs'
complete -c taskgatectl -n $logs -l attempt -x -d 'Of this attempt (default: the last)'
complete -c taskgatectl -n $logs -s f -l follow -d 'Until the job is over'
complete -c taskgatectl -n '__fish_taskgatectl_using logs wait' -l patience -x -d 'How long the daemon may be away'

set -l check '__fish_taskgatectl_using check'
complete -c taskgatectl -n $check -l queue -x -a '(__fish_taskgatectl_queues)' -d 'As if dropped for this queue'
complete -c taskgatectl -n $check -l config -r -F -d 'With this configuration'
complete -c taskgatectl -n $check -F

set -l first '; and __fish_taskgatectl_first'
complete -c taskgatectl -n "__fish_taskgatectl_using show logs $first" -k -a '(__fish_taskgatectl_jobs all)'
complete -c taskgatectl -n "__fish_taskgatectl_using cancel $first" -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using wait' -k -a '(__fish_taskgatectl_jobs open)'
