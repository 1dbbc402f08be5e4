// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Emulated ConnectX cards below empty PCIe root ports of a virtual machine.
 *
 * The functions exist only in the kernel's view of PCI: this module answers configuration accesses to the bus of a
 * root port (pci_bus_set_ops, as drivers/pci/pcie/aer_inject.c does) and lets the kernel scan the bus. Nothing is
 * behind their BARs; there is no DMA, no interrupt and no packet. A program, the firmware, opens /dev/rig-connectx and
 * answers the commands that tools send through the window (vsc.h).
 *
 * The firmware writes lines of text:
 *   add BUS PORTS DEVICE VF-DEVICE HARDWARE-ID MAC   makes a card, which is not in its slot yet, for example
 *                                                    "add 0000:04 2 1017 1018 20d 0c42a1000400"
 *   vfs BUS PORT TOTAL                               sets how many VFs a port offers from the next scan on
 *   scan BUS                                         puts the card into its slot, or its link comes up
 *   drop BUS                                         takes the card out of its slot, or its link goes down
 *   remove BUS                                       removes what `add` made
 * or a struct message, the answer to a command. It reads one struct message for each command and for each change of a
 * link.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "card.h"

enum { MESSAGE_COMMAND = 1, MESSAGE_LINK_DOWN = 2, MESSAGE_LINK_UP = 3 };

struct message {
	u32 kind, domain, bus, port, control;
	u32 mailbox[ICMD_MAILBOX_WORDS];
};

struct card *rig_cards[MAX_CARDS];
DEFINE_RAW_SPINLOCK(rig_lock);
/* Held to add, scan, drop, remove and answer. */
static DEFINE_MUTEX(control);
static DECLARE_WAIT_QUEUE_HEAD(firmware);

void rig_wake_firmware(void)
{
	wake_up_interruptible(&firmware);
}

static void drop(struct card *card)
{
	struct pci_dev *dev, *next;
	unsigned long flags;

	pci_lock_rescan_remove();
	list_for_each_entry_safe_reverse(dev, next, &card->bus->devices, bus_list) {
		pci_dev_get(dev);
		pci_stop_and_remove_bus_device(dev);
		pci_dev_put(dev);
	}
	pci_unlock_rescan_remove();
	raw_spin_lock_irqsave(&rig_lock, flags);
	card->present = false;
	card->link_lost = false;
	raw_spin_unlock_irqrestore(&rig_lock, flags);
}

static void scan(struct card *card)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&rig_lock, flags);
	rig_power_on(card);
	card->present = true;
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	pci_lock_rescan_remove();
	pci_rescan_bus(card->bus);
	pci_unlock_rescan_remove();
}

/* Removes the devices of each card whose link went down, as a hot-plug driver does. */
static void drop_lost(struct work_struct *work)
{
	unsigned int i;

	mutex_lock(&control);
	for (i = 0; i < MAX_CARDS; i++)
		if (rig_cards[i] && rig_cards[i]->link_lost)
			drop(rig_cards[i]);
	mutex_unlock(&control);
	rig_wake_firmware();
}

static DECLARE_WORK(link_work, drop_lost);

/* Called during a configuration access, which must not sleep, and removing devices sleeps. */
void rig_link_changed(void)
{
	schedule_work(&link_work);
}

static void free_card(struct card *card)
{
	unsigned int i;

	for (i = 0; i < MAX_PORTS; i++)
		kfree(card->pf[i].vf);
	kfree(card);
}

static int add(unsigned int domain, unsigned int number, const struct card *wanted)
{
	struct pci_bus *bus = pci_find_bus(domain, number);
	unsigned int i, slot;
	unsigned long flags;
	struct card *card;

	for (slot = 0; slot < MAX_CARDS && rig_cards[slot]; slot++)
		;
	if (slot == MAX_CARDS)
		return -ENOSPC;
	if (!bus || !bus->self || !bus->parent || !pci_is_root_bus(bus->parent))
		return -ENODEV;
	if (!list_empty(&bus->devices) || rig_card_of_bus(bus))
		return -EEXIST;
	if (!wanted->ports || wanted->ports > MAX_PORTS)
		return -EINVAL;
	card = kmemdup(wanted, sizeof(*wanted), GFP_KERNEL);
	if (!card)
		return -ENOMEM;
	card->bus = bus;
	card->port = bus->self;
	for (i = 0; i < card->ports; i++) {
		card->pf[i].vf = kcalloc(MAX_VFS, VF_CONFIG_SIZE, GFP_KERNEL);
		if (!card->pf[i].vf) {
			free_card(card);
			return -ENOMEM;
		}
	}
	raw_spin_lock_irqsave(&rig_lock, flags);
	rig_cards[slot] = card;
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	card->before = pci_bus_set_ops(bus, &rig_card_ops);
	rig_watch_link(bus->parent);
	return 0;
}

static struct card *find(unsigned int domain, unsigned int number)
{
	struct pci_bus *bus = pci_find_bus(domain, number);

	return bus ? rig_card_of_bus(bus) : NULL;
}

static void remove_card(struct card *card)
{
	unsigned long flags;
	unsigned int i;

	drop(card);
	pci_bus_set_ops(card->bus, card->before);
	raw_spin_lock_irqsave(&rig_lock, flags);
	for (i = 0; i < MAX_CARDS; i++)
		if (rig_cards[i] == card)
			rig_cards[i] = NULL;
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	free_card(card);
}

static int add_line(const char *line)
{
	unsigned int domain, bus, device, vf_device;
	struct card *wanted = kzalloc(sizeof(*wanted), GFP_KERNEL);
	unsigned long long mac;
	int result = -EINVAL;

	if (!wanted)
		return -ENOMEM;
	if (sscanf(line, "add %x:%x %u %x %x %x %llx", &domain, &bus, &wanted->ports, &device, &vf_device,
		   &wanted->hardware_id, &mac) == 7) {
		wanted->device = device;
		wanted->vf_device = vf_device;
		wanted->mac = mac;
		result = add(domain, bus, wanted);
	}
	kfree(wanted);
	return result;
}

static int execute(const char *line)
{
	unsigned int domain, bus, port, total;
	struct card *card;
	char word[8];

	if (!strncmp(line, "add ", 4))
		return add_line(line);
	if (sscanf(line, "%7s %x:%x", word, &domain, &bus) != 3)
		return -EINVAL;
	card = find(domain, bus);
	if (!card)
		return -ENODEV;
	if (!strcmp(word, "vfs")) {
		if (sscanf(line, "vfs %x:%x %u %u", &domain, &bus, &port, &total) != 4)
			return -EINVAL;
		if (port >= card->ports || total > MAX_VFS)
			return -EINVAL;
		rig_put_vfs(&card->pf[port], total);
	} else if (!strcmp(word, "scan")) {
		if (!card->present)
			scan(card);
	} else if (!strcmp(word, "drop")) {
		drop(card);
	} else if (!strcmp(word, "remove")) {
		remove_card(card);
	} else {
		return -EINVAL;
	}
	return 0;
}

static void take_command(struct card *card, unsigned int port, struct message *message)
{
	struct function *pf = &card->pf[port];

	pf->waiting = false;
	message->kind = MESSAGE_COMMAND;
	message->port = port;
	message->control = pf->vsc.control;
	memcpy(message->mailbox, pf->vsc.mailbox, sizeof(message->mailbox));
}

/*
 * Takes the next message of a card. Changes of its link come first, because no tool waits for the answer to a command
 * from before a reset. They wait until the devices are removed: a scan before that would find nothing to do.
 */
static bool take_message(struct card *card, struct message *message)
{
	unsigned int port;

	if (card->link_lost)
		return false;
	message->domain = pci_domain_nr(card->bus);
	message->bus = card->bus->number;
	if (card->link_events) {
		bool down = card->link_events & LINK_WENT_DOWN;

		message->kind = down ? MESSAGE_LINK_DOWN : MESSAGE_LINK_UP;
		card->link_events &= ~(down ? LINK_WENT_DOWN : LINK_CAME_UP);
		return true;
	}
	for (port = 0; port < card->ports; port++) {
		if (card->pf[port].waiting) {
			take_command(card, port, message);
			return true;
		}
	}
	return false;
}

static bool next_message(struct message *message)
{
	unsigned long flags;
	bool found = false;
	unsigned int i;

	raw_spin_lock_irqsave(&rig_lock, flags);
	for (i = 0; i < MAX_CARDS && !found; i++)
		found = rig_cards[i] && take_message(rig_cards[i], message);
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	return found;
}

static ssize_t device_read(struct file *file, char __user *buffer, size_t size, loff_t *position)
{
	struct message *message;
	ssize_t result = sizeof(*message);

	if (size < sizeof(*message))
		return -EINVAL;
	message = kzalloc(sizeof(*message), GFP_KERNEL);
	if (!message)
		return -ENOMEM;
	if (wait_event_interruptible(firmware, next_message(message)))
		result = -ERESTARTSYS;
	else if (copy_to_user(buffer, message, sizeof(*message)))
		result = -EFAULT;
	kfree(message);
	return result;
}

static int answer(const struct message *message)
{
	struct card *card = find(message->domain, message->bus);
	struct function *pf;
	unsigned long flags;

	if (!card || message->port >= card->ports)
		return -ENODEV;
	pf = &card->pf[message->port];
	raw_spin_lock_irqsave(&rig_lock, flags);
	memcpy(pf->vsc.mailbox, message->mailbox, sizeof(message->mailbox));
	pf->vsc.control = message->control & ~ICMD_BUSY;
	raw_spin_unlock_irqrestore(&rig_lock, flags);
	return 0;
}

static ssize_t device_write(struct file *file, const char __user *buffer, size_t size, loff_t *position)
{
	char *text;
	int result;

	if (size > sizeof(struct message))
		return -EINVAL;
	text = memdup_user_nul(buffer, size);
	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&control);
	result = size == sizeof(struct message) ? answer((struct message *)text) : execute(text);
	mutex_unlock(&control);
	kfree(text);
	return result ? result : size;
}

static const struct file_operations device_files = {
	.owner = THIS_MODULE,
	.read = device_read,
	.write = device_write,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rig-connectx",
	.fops = &device_files,
	.mode = 0600,
};

static int __init rig_init(void)
{
	int error = rig_net_register();

	if (error)
		return error;
	error = misc_register(&device);
	if (error)
		rig_net_unregister();
	return error;
}

static void __exit rig_exit(void)
{
	unsigned int i;

	misc_deregister(&device);
	rig_stop_watching_link();
	cancel_work_sync(&link_work);
	mutex_lock(&control);
	for (i = 0; i < MAX_CARDS; i++)
		if (rig_cards[i])
			remove_card(rig_cards[i]);
	mutex_unlock(&control);
	rig_net_unregister();
}

module_init(rig_init);
module_exit(rig_exit);
MODULE_DESCRIPTION("Emulated ConnectX cards of a test rig");
MODULE_LICENSE("GPL");
