# fish completion for taskgatectl(1). Parts between BEGIN and END are made by packaging/documents.

# The command on the line, before the cursor; nothing if there is none yet.
function __fish_taskgatectl_command
    set -l words (commandline -opc)
    # BEGIN GENERATED before
    argparse -s h/help root= user json version -- $words[2..] 2>/dev/null
    # END GENERATED
    and echo $argv[1]
end

function __fish_taskgatectl_using
    contains -- (__fish_taskgatectl_command)'' $argv
end

# Whether the command on the line has no argument yet.
function __fish_taskgatectl_first
    set -l words (commandline -opc)
    # BEGIN GENERATED valued
    argparse -i root= state= queue= array= after= limit= before= attempt= patience= config= -- $words[2..] 2>/dev/null
    # END GENERATED
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
    # BEGIN GENERATED open
    set -l open --state queued --state held --state running
    # END GENERATED
    set -l lines
    test $argv[1] = all
    and set lines (__fish_taskgatectl_ask list --limit 5000)
    if test $argv[1] = open -o (count $lines) -gt 5000
        set lines (__fish_taskgatectl_ask list $open --limit 50)
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

# BEGIN GENERATED options
complete -c taskgatectl -f
complete -c taskgatectl -s h -l help -d 'Show this help message and exit'
complete -c taskgatectl -l root -x -a '(__fish_taskgatectl_directories)' -d 'The gate under DIR (default: $TASKGATE_ROOT)'
complete -c taskgatectl -l user -d 'Your own gate, in your home directory'
complete -c taskgatectl -l json -d 'Print JSON, as the control socket has it'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -l version -d 'Show program\'s version number and exit'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a status -d 'What the gate does now'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a list -d 'Jobs, oldest first'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a show -d 'All about one job, and everything it waits for'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a why -d 'Why a job does not start now: every reason, one a line'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a logs -d 'The output of jobs'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a wait -d 'Until jobs are over'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a reload -d 'Put the configuration in force'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a cancel -d 'End jobs, or see to it that they never start'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a retry -d 'Run jobs again that failed or were cancelled, or end the pause before their next attempt'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a hold -d 'Keep queued jobs from starting until they are released'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a release -d 'Let held jobs go'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a move -d 'Put jobs that wait into another queue'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a prioritize -d 'Give jobs that wait another priority'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a pause -d 'Start nothing more of queues, or of all'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a resume -d 'Let queues that are paused, or closed by their breaker, go on, or all that were paused'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a limit -d 'Set the limit of a queue, or of all together, until the configuration says the same'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a tokens -d 'Set how many tokens of a kind there are, until the configuration says the same'
complete -c taskgatectl -n '__fish_taskgatectl_using ""' -a check -d 'What the daemon would say of these files'
complete -c taskgatectl -n '__fish_taskgatectl_using list' -l state -x -a 'queued held running succeeded failed cancelled' -d 'Only in this state'
complete -c taskgatectl -n '__fish_taskgatectl_using list' -l queue -x -a '(__fish_taskgatectl_queues)' -d 'Only of this queue'
complete -c taskgatectl -n '__fish_taskgatectl_using list' -l array -x -d 'Only of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using list' -l after -x -d 'Only with a higher id'
complete -c taskgatectl -n '__fish_taskgatectl_using list' -l limit -x -d 'At most N jobs'
complete -c taskgatectl -n '__fish_taskgatectl_using show' -l before -x -d 'Attempts before N (default: the last)'
complete -c taskgatectl -n '__fish_taskgatectl_using show; and __fish_taskgatectl_first' -k -a '(__fish_taskgatectl_jobs all)'
complete -c taskgatectl -n '__fish_taskgatectl_using why; and __fish_taskgatectl_first' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using logs' -l attempt -x -d 'Of attempt N (default: the last)'
complete -c taskgatectl -n '__fish_taskgatectl_using logs' -s f -l follow -d 'Until the job is over, with all attempts to come'
complete -c taskgatectl -n '__fish_taskgatectl_using logs' -l patience -x -d 'How long the daemon may be away meanwhile, as in a restart (default: for ever)'
complete -c taskgatectl -n '__fish_taskgatectl_using logs' -k -a '(__fish_taskgatectl_jobs all)'
complete -c taskgatectl -n '__fish_taskgatectl_using wait' -l array -x -d 'All jobs of the array whose first has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using wait' -l patience -x -d 'How long the daemon may be away meanwhile, as in a restart (default: for ever)'
complete -c taskgatectl -n '__fish_taskgatectl_using wait' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using cancel' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using cancel' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using retry' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using retry' -k -a '(__fish_taskgatectl_jobs all)'
complete -c taskgatectl -n '__fish_taskgatectl_using hold' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using hold' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using release' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using release' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using move' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using move' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using prioritize' -l array -x -d 'All jobs of the array whose first job has that id'
complete -c taskgatectl -n '__fish_taskgatectl_using prioritize' -k -a '(__fish_taskgatectl_jobs open)'
complete -c taskgatectl -n '__fish_taskgatectl_using limit' -l reset -d 'What is configured holds again'
complete -c taskgatectl -n '__fish_taskgatectl_using tokens' -l reset -d 'What is configured holds again'
complete -c taskgatectl -n '__fish_taskgatectl_using check' -l queue -x -a '(__fish_taskgatectl_queues)' -d 'As if dropped for this queue'
complete -c taskgatectl -n '__fish_taskgatectl_using check' -l config -r -F -d 'With this configuration'
complete -c taskgatectl -n '__fish_taskgatectl_using check' -F
# END GENERATED
