# bash completion for taskgatectl(1)
# shellcheck shell=bash

# What each command (-: none yet) and each option takes. Parts between BEGIN and END are made by packaging/documents.
# BEGIN GENERATED tables
declare -gA _taskgatectl_options=(
    [-]='-h --help --root --user --json --version'
    [status]='-h --help --root --user --json'
    [list]='-h --help --root --user --json --state --queue --array --after --limit'
    [show]='-h --help --root --user --json --before'
    [why]='-h --help --root --user --json'
    [logs]='-h --help --root --user --json --attempt -f --follow --patience'
    [wait]='-h --help --root --user --json --array --patience'
    [reload]='-h --help --root --user --json'
    [cancel]='-h --help --root --user --json --array'
    [retry]='-h --help --root --user --json --array'
    [hold]='-h --help --root --user --json --array'
    [release]='-h --help --root --user --json --array'
    [move]='-h --help --root --user --json --array'
    [prioritize]='-h --help --root --user --json --array'
    [pause]='-h --help --root --user --json'
    [resume]='-h --help --root --user --json'
    [limit]='-h --help --root --user --json --reset'
    [tokens]='-h --help --root --user --json --reset'
    [check]='-h --help --root --user --json --queue --config'
)
declare -gA _taskgatectl_values=(
    [--root]='directory'
    [--state]='words queued held running succeeded failed cancelled'
    [--queue]='queue'
    [--array]=''
    [--after]=''
    [--limit]=''
    [--before]=''
    [--attempt]=''
    [--patience]=''
    [--config]='file'
)
declare -gA _taskgatectl_arguments=(
    [-]='words status list show why logs wait reload cancel retry hold release move prioritize pause resume limit tokens check'
    [show]='job all'
    [why]='job open'
    [logs]='jobs all'
    [wait]='jobs open'
    [cancel]='jobs open'
    [retry]='jobs all'
    [hold]='jobs open'
    [release]='jobs open'
    [move]='jobs open'
    [prioritize]='jobs open'
    [pause]='queue'
    [resume]='queue'
    [limit]='queue'
    [check]='file'
)
_taskgatectl_open=(--state queued --state held --state running)
# END GENERATED

# Ids of jobs, the newest first, at most 50: _taskgatectl_jobs open|all COMMAND [OPTION]...
# The gate lists the oldest first. All of a long list would take too long: then those that are not over have to do.
_taskgatectl_jobs() {
    local which=$1 most=5000
    local -a options=()
    shift
    if [[ $which == open ]]; then
        most=50 options=("${_taskgatectl_open[@]}")
    fi
    "$@" list "${options[@]}" --limit $most 2>/dev/null | awk -v which="$which" -v most=$most '
        NR > 1 { id[NR - 1] = $1 }
        END {
            if (which == "all" && NR > most) exit 1
            for (n = NR - 1; n > 0 && n > NR - 51; n--) print id[n]
        }' || _taskgatectl_jobs open "$@"
}

_taskgatectl_queues() {
    "$@" status 2>/dev/null | awk 'found { print $1 } $1 == "QUEUE" { found = 1 }'
}

_taskgatectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' arguments=0 i word value takes words=''
    local -a gate=("${1/#\~\//$HOME/}")
    COMPREPLY=()
    # The = of --option=value is a word of its own (COMP_WORDBREAKS).
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    # Which gate is meant, wherever the line says it, and which command stands before the cursor.
    for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
            --*)
                [[ $word == --user ]] && gate+=(--user)
                [[ ${_taskgatectl_values[$word]+takes one} ]] || continue
                [[ ${COMP_WORDS[i + 1]-} == = ]] && ((i++))
                ((i++))
                value=${COMP_WORDS[i]-}
                value=${value//[\"\'\\]/}
                [[ $word == --root ]] && gate+=(--root "${value/#\~\//$HOME/}")
                ;;
            -*) ;;
            *)
                if ((i >= COMP_CWORD)); then
                    continue
                elif [[ $command ]]; then
                    ((arguments++))
                else
                    command=$word
                fi
                ;;
        esac
    done

    if [[ $prev == *[\<\>] ]]; then
        takes='file'
    elif [[ $prev == --* && ${_taskgatectl_values[$prev]+takes one} ]]; then
        takes=${_taskgatectl_values[$prev]}
    elif [[ $cur == -* ]]; then
        takes="words ${_taskgatectl_options[${command:--}]-}"
    else
        takes=${_taskgatectl_arguments[${command:--}]-}
        [[ $command ]] && compopt -o nosort 2>/dev/null
    fi
    case $takes in
        directory | file) # compgen -d, compgen -f
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -"${takes:0:1}" -- "$cur")
            return
            ;;
        queue) words=$(_taskgatectl_queues "${gate[@]}") ;;
        'job '*) ((arguments)) || words=$(_taskgatectl_jobs "${takes#* }" "${gate[@]}") ;;
        'jobs '*) words=$(_taskgatectl_jobs "${takes#* }" "${gate[@]}") ;;
        *) words=${takes#words} ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _taskgatectl taskgatectl
