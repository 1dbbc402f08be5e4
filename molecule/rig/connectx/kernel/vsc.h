/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window in a ConnectX card's PCI configuration space through which firmware tools reach the card's own address
 * spaces: a vendor specific capability (PCI capability id 9), "VSC" for short.
 *
 * mtcr_ul/mtcr_ul_com.c of mstflint and drivers/net/ethernet/mellanox/mlx5/core/lib/pci_vsc.c of Linux use it; this
 * file answers what those two read and write. The kernel module and native/shim.c include it.
 *
 * Registers, counted from the capability:
 *   0x04  the selected space, bits 15..0; bits 31..29 show whether it exists (0: it does not)
 *   0x08  a counter: each read returns another number, the reader's ticket
 *   0x0c  semaphore: takes a ticket while it is 0, and 0 releases it
 *   0x10  address, bits 29..0, with a flag in bit 31. Flag 1 starts a write of the data, which is done when the flag
 *         is 0. Flag 0 starts a read, which is done when the flag is 1
 *   0x14  data
 *
 * mstflint 4.31 and later uses another protocol if spaces from 0x101 on exist, so only the four below exist.
 */
#ifndef RIG_CONNECTX_VSC_H
#define RIG_CONNECTX_VSC_H

#define VSC_LENGTH 0x18
#define VSC_SPACE 0x04
#define VSC_COUNTER 0x08
#define VSC_SEMAPHORE 0x0c
#define VSC_ADDRESS 0x10
#define VSC_DATA 0x14

#define VSC_SPACE_EXISTS (1u << 29)
#define VSC_FLAG (1u << 31)
#define VSC_ADDRESS_MASK 0x3fffffffu

/* Commands to the firmware (ICMD): mtcr_ul/mtcr_ul_icmd_cif.c of mstflint. */
#define ICMD_BUSY 1u
#define ICMD_MAILBOX_WORDS 256
#define ICMD_CONTROL 0x0u
#define ICMD_MAILBOX_SIZE 0x1000u
#define ICMD_MAILBOX 0x100000u
/* The address of the hardware id, on cards of all generations. If it is the PCI device id too, no firmware runs. */
#define CR_HARDWARE_ID 0xf0014u

/* ICMD_EXT is empty, but the tools need it to exist (VSEC_MIN_SUPPORT_UL in mtcr_com_defs.h). */
enum { SPACE_ICMD_EXT = 1, SPACE_CR = 2, SPACE_ICMD = 3, SPACE_SEMAPHORE = 0xa };

struct vsc {
	u32 space, counter, semaphore, address, data;
	u32 hardware_id;			/* space CR, CR_HARDWARE_ID */
	u32 command_semaphore;			/* space SEMAPHORE, address 0 */
	u32 control;				/* space ICMD, ICMD_CONTROL */
	u32 mailbox[ICMD_MAILBOX_WORDS];	/* space ICMD, ICMD_MAILBOX */
};

static inline int vsc_space_exists(u32 space)
{
	return space == SPACE_ICMD_EXT || space == SPACE_CR || space == SPACE_ICMD || space == SPACE_SEMAPHORE;
}

static inline u32 *vsc_mailbox_word(struct vsc *v, u32 address)
{
	u32 word = (address - ICMD_MAILBOX) / 4;

	return address >= ICMD_MAILBOX && word < ICMD_MAILBOX_WORDS ? &v->mailbox[word] : 0;
}

static inline u32 vsc_load(struct vsc *v, u32 address)
{
	u32 *word;

	switch (v->space) {
	case SPACE_CR:
		return address == CR_HARDWARE_ID ? v->hardware_id : 0;
	case SPACE_SEMAPHORE:
		return address == 0 ? v->command_semaphore : 0;
	case SPACE_ICMD:
		if (address == ICMD_CONTROL)
			return v->control;
		if (address == ICMD_MAILBOX_SIZE)
			return ICMD_MAILBOX_WORDS * 4;
		word = vsc_mailbox_word(v, address);
		return word ? *word : 0;
	}
	return 0;
}

/* Returns 1 when this sets the busy bit of the control word, which starts a command. */
static inline int vsc_store(struct vsc *v, u32 address, u32 value)
{
	u32 *word;

	switch (v->space) {
	case SPACE_SEMAPHORE:
		if (address == 0 && (!value || !v->command_semaphore))
			v->command_semaphore = value;
		return 0;
	case SPACE_ICMD:
		if (address == ICMD_CONTROL) {
			if (v->control & ICMD_BUSY)
				return 0;
			v->control = value;
			return value & ICMD_BUSY;
		}
		word = vsc_mailbox_word(v, address);
		if (word)
			*word = value;
		return 0;
	}
	return 0;
}

/* The offset is a multiple of 4, from 4 on: the header belongs to the ordinary configuration space. */
static inline u32 vsc_read(struct vsc *v, u32 offset)
{
	switch (offset) {
	case VSC_SPACE:
		return v->space | (vsc_space_exists(v->space) ? VSC_SPACE_EXISTS : 0);
	case VSC_COUNTER:
		return ++v->counter;
	case VSC_SEMAPHORE:
		return v->semaphore;
	case VSC_ADDRESS:
		return v->address;
	case VSC_DATA:
		return v->data;
	}
	return 0;
}

/* Returns 1 when this starts a command. */
static inline int vsc_write(struct vsc *v, u32 offset, u32 value)
{
	int started = 0;

	switch (offset) {
	case VSC_SPACE:
		v->space = value & 0xffff;
		break;
	case VSC_SEMAPHORE:
		if (!value || !v->semaphore)
			v->semaphore = value;
		break;
	case VSC_ADDRESS:
		if (value & VSC_FLAG) {
			started = vsc_store(v, value & VSC_ADDRESS_MASK, v->data);
			v->address = value & ~VSC_FLAG;
		} else {
			v->data = vsc_load(v, value & VSC_ADDRESS_MASK);
			v->address = value | VSC_FLAG;
		}
		break;
	case VSC_DATA:
		v->data = value;
		break;
	}
	return started;
}

#endif
